"""The steps of the schema, one module each, in the order of ``migrations``. A released one is never edited."""
