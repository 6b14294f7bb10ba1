"""The server, asked over real sockets by the clients that people use."""
