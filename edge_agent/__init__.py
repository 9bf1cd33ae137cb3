"""The edge agent: answers locally where the confidence allows it, escalates the rest."""
