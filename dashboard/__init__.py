"""What people see of a running flow: a view fed by its outputs, queries over it, and the page."""
