"""Control charts: CUSUM and EWMA."""
