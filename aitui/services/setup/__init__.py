"""What `aitui setup` finds on a server's machines, and puts there."""
