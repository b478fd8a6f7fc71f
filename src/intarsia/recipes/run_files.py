"""Names of the files in a run's folder, in one place for those who write them and those who look for them."""

__all__ = ["BEST", "CHECK", "EVALUATION", "HISTORY", "LAST", "RECIPE", "REPORT", "RESUME", "RUN_FILES"]

BEST, LAST, RESUME = "best.safetensors", "last.safetensors", "last.ckpt"
RECIPE, CHECK, HISTORY, EVALUATION, REPORT = "recipe.toml", "check.json", "results.csv", "evaluation.json", "report.html"
RUN_FILES = (BEST, LAST, RESUME, RECIPE, CHECK, HISTORY, EVALUATION, REPORT)
