"""Names of the files in a run's folder, in one place for those who write them and those who look for them."""

__all__ = [
    "BEST",
    "CHECK",
    "EVALUATION",
    "HISTORY",
    "LAST",
    "NOT_FINITE",
    "NOT_FINITE_STATE",
    "RECIPE",
    "REPORT",
    "RESUME",
    "RUN_FILES",
]

BEST, LAST, RESUME = "best.safetensors", "last.safetensors", "last.ckpt"
RECIPE, CHECK, HISTORY, EVALUATION, REPORT = "recipe.toml", "check.json", "results.csv", "evaluation.json", "report.html"
NOT_FINITE, NOT_FINITE_STATE = "not_finite.json", "not_finite.ckpt"
RUN_FILES = (BEST, LAST, RESUME, RECIPE, CHECK, HISTORY, EVALUATION, REPORT, NOT_FINITE, NOT_FINITE_STATE)
