"""Hours of a call centre in which everything goes wrong, with the real server against stand-in switches."""
