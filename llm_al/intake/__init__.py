"""From rows as they arrive to examples with stable ids: checked, merged and grouped."""
