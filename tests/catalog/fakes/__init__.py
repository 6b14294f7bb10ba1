"""Stand-ins for services nobody can reach from a test machine, speaking their wire protocols over loopback sockets."""
