{% test holds(model, rule, column_name=none) %}
    -- a rule that cannot be decided (null) counts as broken
    select *
    from {{ model }}
    where case when {{ rule }} then 0 else 1 end = 1
{% endtest %}
