"""The tables of the settings: names, types, limits, defaults and meanings of their keys."""
