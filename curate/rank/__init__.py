"""Ranking by people: tasks, the sheets and the page that they are done on, votes, agreement, and what is made of them.

A campaign is a folder:

    campaign.json   `Campaign`: criteria, how many people see a task, the seed of orders, what annotators are told
    tasks.jsonl     `schemas/task.json`: prompts and answers, without who wrote them
    key.jsonl       who wrote each answer, where it came from, and the right ranks of gold tasks; annotators never see it
    votes.jsonl     `schemas/vote.json`: what came back, added to and never changed
"""
