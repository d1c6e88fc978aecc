"""The components as processes run them: each file brings one package's main loop together with its settings and clients.

Each is imported by its own command alone: a sender need not load a web framework.
"""
