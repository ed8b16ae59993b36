"""How well the best answer is chosen, measured on questions whose answers can be checked."""
