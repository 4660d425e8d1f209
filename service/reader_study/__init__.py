"""Blinded reader studies: order, normalized texts, ratings, case lists and analysis. No database."""
