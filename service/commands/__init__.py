"""The commands of `aura`, one a file: options in, one call of what does the work, words out.

A command imports what it needs when it runs, so that `aura --help` answers at once.
"""
