"""Hooks of flow rules: how they are called, by HTTP or as functions of AWS Lambda, and who calls them when."""
