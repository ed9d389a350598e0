"""Networks: torch modules only; no files, no losses, no printing."""
