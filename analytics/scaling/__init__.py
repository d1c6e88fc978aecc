"""How many senders are needed so that every campaign is done in time. `deciding` reads first."""
