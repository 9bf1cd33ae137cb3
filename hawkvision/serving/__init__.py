"""What both services are built from: workers, queues, versions, upstreams, configuration, loops."""
