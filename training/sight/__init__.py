"""Eyes for the tiny model: an encoder of small pictures that tells ten shapes and ten colours."""
