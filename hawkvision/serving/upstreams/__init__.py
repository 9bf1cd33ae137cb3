"""Who of several equal upstreams is asked, and what is learned of each: policies without sockets,
clocks or event loops. `balancer` puts them together; whoever calls passes the time as `now`."""
