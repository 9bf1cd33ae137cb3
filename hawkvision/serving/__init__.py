"""What both services are built from: workers, queues, breakers, configuration, event loops."""
