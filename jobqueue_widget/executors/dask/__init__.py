"""A Dask cluster that its user already has."""
