{{ config(publish='replace', watermark='last_order_id') }}

with pending as (
    select
        lines.product_id,
        count(distinct lines.order_id) as orders,
        sum(lines.quantity) as units_sold,
        sum(lines.line_amount) as total_revenue,
        max(lines.order_id) as last_order_id
    from {{ ref('int_pending_lines') }} as lines
    inner join {{ ref('int_pending_totals') }} as orders
        on lines.order_id = orders.order_id
    {% if is_incremental() %}
        -- read with the rows that it belongs to, in one statement: both are of the same snapshot
        where lines.order_id > (select coalesce(max(last_order_id), 0) from {{ this }})
    {% endif %}
    group by lines.product_id
),

counted as (
    {% if is_incremental() %}
        select
            product_id,
            orders,
            units_sold,
            total_revenue,
            last_order_id
        from {{ this }}
        union all
    {% endif %}
    select
        product_id,
        orders,
        units_sold,
        total_revenue,
        last_order_id
    from pending
),

merged as (
    select
        product_id,
        sum(orders) as orders,
        sum(units_sold) as units_sold,
        sum(total_revenue) as total_revenue,
        max(last_order_id) as last_order_id
    from counted
    group by product_id
)

select
    products.product_id,
    products.sku,
    products.name,
    products.category,
    products.price,
    cast(coalesce(merged.orders, 0) as bigint) as orders,
    cast(coalesce(merged.units_sold, 0) as bigint) as units_sold,
    cast(coalesce(merged.total_revenue, 0) as decimal(18, 2)) as total_revenue,
    merged.last_order_id
from {{ ref('stg_products') }} as products
left join merged
    on products.product_id = merged.product_id
order by products.product_id
