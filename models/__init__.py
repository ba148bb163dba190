"""The models that ship with AURA, and the scripts that make and judge them from the bundled flights."""
