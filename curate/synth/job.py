"""What the jobs of `curate synth` have in common: options, the stage that asks, the stage that books."""
