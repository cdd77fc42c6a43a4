"""The models and data modules that ship as examples. They know nothing of litune, as a user's own do not."""
