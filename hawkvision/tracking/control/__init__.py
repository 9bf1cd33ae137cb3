"""Who steers thresholds by what was counted: audits, harm, the traffic model."""
