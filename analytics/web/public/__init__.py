"""What recipients of mails see of Jetpost: unsubscribing, their preferences, and links that are counted. `door.py` reads first.

It knows nobody's address: a token names a mail, and who got that is found out behind the door (`analytics.wishes`).
"""
