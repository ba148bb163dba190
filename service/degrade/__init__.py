"""What happens when it gets too much, or something fails: less is done, as declared, and what failed comes back by degrees.

ladder      which level the signals ask for
canary      a recovered path, given more of the work step by step
governor    watches the signals of a process, and makes the decisions
emergency   events go into the archive unread until it can go on
"""
