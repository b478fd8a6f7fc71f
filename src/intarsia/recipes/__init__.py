"""Recipes: what a training run does, as TOML files."""

from intarsia.recipes.recipe import Recipe, Stage, load_recipe, recipe_names

__all__ = ["Recipe", "Stage", "load_recipe", "recipe_names"]
