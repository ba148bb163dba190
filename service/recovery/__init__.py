"""The recovery store of a flow: made once, checked before every start, cleared away at the end."""
