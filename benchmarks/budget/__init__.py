"""The budget: what a mail costs at each stage, in CPU of who does it and of who serves it."""
