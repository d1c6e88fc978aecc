"""Parts that compare whole campaigns with each other: of different sizes, with more senders."""
