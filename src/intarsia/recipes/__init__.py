"""Recipes: what a training run does, as TOML files."""

from intarsia.recipes.recipe import Recipe, load_recipe, recipe_names
from intarsia.recipes.stage import Stage

__all__ = ["Recipe", "Stage", "load_recipe", "recipe_names"]
