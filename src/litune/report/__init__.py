"""What a person sees of a search: live, at its end, and later."""
