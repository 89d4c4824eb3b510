"""The methods, one a module: what is asked, how answers are read, and which rows they make.

Each is called with an item and gives a session. `BLOCKS` are the blocks that its prompts have, and the variables of each.
"""
