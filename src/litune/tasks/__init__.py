"""The models and data modules that ship as examples. They import nothing of litune, as a user's own would not."""
