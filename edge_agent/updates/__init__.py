"""New versions over the air: fetched, compared with the old one on the same traffic, taken up."""
