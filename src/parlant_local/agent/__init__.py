"""The demonstration agent: a real Parlant server with a small book shop's assistant, and a scripted customer."""
