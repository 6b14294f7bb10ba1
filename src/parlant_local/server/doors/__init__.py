"""Other APIs in front of the same chat call: each is converted to a :class:`ChatRequest`, and its answer written in its own form.

``messages`` is Anthropic's, ``responses`` OpenAI's newer one; ``common`` what both share.
"""
