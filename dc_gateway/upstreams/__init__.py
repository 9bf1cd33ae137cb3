"""Who computes the answers where the gateway's own threads do not.

`base` is the seam for one rung: worker processes (`processes`) and Ray's replicas stand behind it,
and both run `compute`. `forward` hands whole calls on to other servers of the protocol.
"""
