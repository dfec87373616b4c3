"""Case files in the format ``snn-gradient-case/1``: spikes and gradients to thirty digits."""
