"""Synthetic data: methods that ask a model, one a module of `methods`; prompts as Jinja files; gates; and the driver.

A method is a generator: it yields requests, is sent their answers, and returns the rows that it makes and what it gives up.
The driver runs many of them beside one another; what they make is in the order of the input, whatever answers come first.
"""
