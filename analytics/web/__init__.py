"""The web app: JSON API, live stream and dashboard over the bus and the reports. `app` reads first."""
