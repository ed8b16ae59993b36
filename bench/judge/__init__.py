"""How well a winner is chosen: questions whose answers can be checked, and what checks them."""
