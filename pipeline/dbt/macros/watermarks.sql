{% macro counted_through(mart, column) -%}
    {#- The last order that a published mart has counted, as a constant, so that the engine can skip files by their statistics.
        0 when the mart does not exist yet or everything is to be recomputed. -#}
    {%- if not execute or should_full_refresh() -%}
        {{ return(0) }}
    {%- endif -%}
    {%- if load_relation(mart) is none -%}
        {{ return(0) }}
    {%- endif -%}
    {%- set answer = run_query('select coalesce(max(' ~ column ~ '), 0) from ' ~ mart) -%}
    {{ return(answer.columns[0].values()[0] | int) }}
{%- endmacro %}


{% macro counted_by_every_mart() -%}
    {#- The last order that all marts have counted: what comes after it is new to at least one of them. The marts are named,
        not ref'd: they are built from the rows that this macro selects. -#}
    {%- set watermarks = {
        'orders': 'order_id',
        'customers': 'last_order_id',
        'products': 'last_order_id',
        'daily_revenue': 'last_order_id',
    } -%}
    {%- set through = [] -%}
    {%- for mart, column in watermarks.items() -%}
        {%- set relation = api.Relation.create(database=var('lake'), schema='gold', identifier=mart) -%}
        {%- do through.append(counted_through(relation, column)) -%}
    {%- endfor -%}
    {{ return(through | min) }}
{%- endmacro %}


{% macro first_order_in(pending) -%}
    {#- The first of the pending orders, as a constant; when there is none, a number that no order reaches. -#}
    {%- if not execute -%}
        {{ return(0) }}
    {%- endif -%}
    {%- set answer = run_query('select coalesce(min(order_id), 9223372036854775807) from ' ~ pending) -%}
    {{ return(answer.columns[0].values()[0] | int) }}
{%- endmacro %}
