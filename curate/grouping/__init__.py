"""What is grouped by key through files: equal lines, paragraphs and windows of words across a whole dataset."""
