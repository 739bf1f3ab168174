"""Who answers, and which LLM answers may be believed."""
